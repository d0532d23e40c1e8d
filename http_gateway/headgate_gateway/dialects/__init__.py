"""The documented ingestion APIs. A further one is a file here and an entry in this list, and nothing else."""

from headgate_gateway.dialects.codcompass import Codcompass
from headgate_gateway.dialects.dialect import Dialect
from headgate_gateway.dialects.prompting_company import PromptingCompany
from headgate_gateway.dialects.realanalytics import RealAnalytics
from headgate_gateway.dialects.xaiku import Xaiku

DIALECTS: tuple[Dialect, ...] = (Codcompass(), Xaiku(), RealAnalytics(), PromptingCompany())
