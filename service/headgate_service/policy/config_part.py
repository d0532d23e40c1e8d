"""What the parts of a config have in common."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class ConfigPart(BaseModel):
    """A part of a config. Names are camelCase on paper; an unknown one is a fault."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=False
    )
