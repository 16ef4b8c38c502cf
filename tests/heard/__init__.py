"""Being heard: who is told what, by which way, and what is called out to."""

import tests.contracts.inside  # noqa: F401 - sets Django up before what needs it is imported
