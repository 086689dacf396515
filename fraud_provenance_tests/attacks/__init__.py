"""The tournament: every known attack against copies of a real home, each with twin and mutant.

In: `lines.json`, one line an attack, and the cases in `cases_*.py`. Out: a table and
`build/attacks.json`. A case holds an attack, a benign twin, a judge (the product's own command or
job at the place where the attack must stop) and a mutant that removes the named check.
Judgements run in this process, so that a mutant can patch what it removes.
"""
