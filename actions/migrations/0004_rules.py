"""Where the rules that live in the database were loaded once more; the last migration loads them all now.

A home that applied it has its rules of then, and one that did not needs none of them until then: the last
migration replaces every one, so that nothing of an older text is kept here.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("actions", "0003_executor")]
    operations: list[migrations.operations.base.Operation] = []
