"""The ways in which somebody is told: e-mail, signed webhooks, rooms of Slack and Teams."""
