"""Subjects: who or what is acted on, under one canonical name."""

from __future__ import annotations

from django.db import models


class CidrField(models.Field):  # type: ignore[type-arg]
    """PostgreSQL's `cidr`, read and written as text; compared by the database alone."""

    def db_type(self, connection: object) -> str:
        return "cidr"


class Subject(models.Model):
    """A kind and a canonical name, with the version of the rules that made the name."""

    kind = models.CharField(max_length=40)
    name = models.CharField(max_length=200)
    rules = models.IntegerField()
    network = CidrField(null=True)

    class Meta:
        db_table = "subject"
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="subject_once")]
        indexes = [models.Index(fields=["network"], name="subject_by_network")]


class SubjectLabel(models.Model):
    """What a subject was called, and since when: the last one is its name, all are its history."""

    kind = models.CharField(max_length=40)
    name = models.CharField(max_length=200)
    label = models.CharField(max_length=200)
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "subject_label"
        constraints = [
            models.UniqueConstraint(fields=["kind", "name", "label"], name="subject_label_once")
        ]
