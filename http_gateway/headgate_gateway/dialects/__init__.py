"""The documented ingestion APIs. A further one is a file here and an entry in this list, and nothing else."""

from .codcompass import Codcompass
from .dialect import Dialect
from .prompting_company import PromptingCompany
from .realanalytics import RealAnalytics
from .xaiku import Xaiku

DIALECTS: tuple[Dialect, ...] = (Codcompass(), Xaiku(), RealAnalytics(), PromptingCompany())
