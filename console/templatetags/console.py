"""Small helpers for templates."""

from django import template

register = template.Library()


@register.filter
def incident_ref(number: int) -> str:
    """`INC-7` from 7."""
    return f"INC-{number}"
