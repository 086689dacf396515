"""Why this product says no, and what to do then: importing this package registers it.

In: nothing. Out: root causes of the product (`product`, `data`), and remedies for all of them and
for those of the trust library (`trust`). Every entry point imports it, so that no code is printed
without its remedy.
Not here: what is told where a refusal is raised, because it names what lies there.
"""

from fraud_provenance.attested.core import codes
from fraud_provenance.causes.data import DataCause
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.causes.trust import REMEDIES

_OWN = (*ProductCause, *DataCause)
codes.register(_OWN, {**REMEDIES, **{code: code.remedy for code in _OWN}})
