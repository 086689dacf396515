"""All incidents, a file a subject.

Days are numbered: 45 is the newest of the home, 25 … 31 are learnt from, 39 … 45 are tested on. The
champion learnt from them; nobody has approved another model.
"""

from fraud_provenance_tests.incidents import (
    cases_beside,
    cases_days,
    cases_evidence,
    cases_libraries,
    cases_machine,
    cases_people,
    cases_training,
)

CASES = (
    *cases_evidence.CASES,
    *cases_people.CASES,
    *cases_days.CASES,
    *cases_machine.CASES,
    *cases_training.CASES,
    *cases_libraries.CASES,
    *cases_beside.CASES,
)
