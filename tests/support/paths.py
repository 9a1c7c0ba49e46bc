"""Where things lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "tests" / "conformance"
# Checkpoints written by the earlier programs, beside the checkout where there are any.
FIXTURES = ROOT.parent / "shared" / "fixtures"
