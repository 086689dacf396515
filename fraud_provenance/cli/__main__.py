"""`python -m fraud_provenance.cli`."""

from fraud_provenance.cli.application import main

if __name__ == "__main__":
    main()
