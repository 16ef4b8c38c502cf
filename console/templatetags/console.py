"""Small helpers for templates."""

from django import template

register = template.Library()
