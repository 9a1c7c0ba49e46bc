"""The tables of settings, by what they are about."""

from mypt.format.names.counterparts.architecture import MODEL
from mypt.format.names.counterparts.data import DATA
from mypt.format.names.counterparts.evaluation import EVALUATION
from mypt.format.names.counterparts.generation import GENERATION
from mypt.format.names.counterparts.hardware import HARDWARE
from mypt.format.names.counterparts.optimization import OPTIMIZATION
from mypt.format.names.counterparts.records import LOGGING, SAVING

SETTINGS = {
    "Model": MODEL,
    "Data": DATA,
    "Optimization": OPTIMIZATION,
    "Evaluation": EVALUATION,
    "Saving": SAVING,
    "Logging": LOGGING,
    "Hardware": HARDWARE,
    "Generation": GENERATION,
}
