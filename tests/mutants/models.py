"""Guards whose loss the small model of a lane must notice by itself, in some order of events."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

LANE = (
    "tests/models/test_lane.py::test_whatever_people_and_workers_do_it_comes_to_what_the_model_says"
)

MUTANTS = (
    Mutant(
        "model: a conflict is told",
        "actions/compare.py",
        'if standing["state"] not in states.HOLDING or case.ask.seen == standing["generation"]:',
        "if True:",
        (LANE,),
    ),
    Mutant(
        "model: a late answer is no word on another call",
        "actions/settle.py",
        "state=EffectState.EXECUTING, fence=attempt.fence",
        "state=EffectState.EXECUTING",
        (LANE,),
    ),
)
