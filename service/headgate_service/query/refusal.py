"""Why a query is not answered, in the words of the API."""


class QueryRefused(Exception):
    """`code` is the API's, `field` the path of what is wrong in the request, such as `filter.and[0].op`."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


class QueryInvalid(QueryRefused):
    """The request is not one that the grammar knows."""


class QueryOverLimit(QueryRefused):
    """The request asks for more than one answer may hold or one query may read."""


def invalid(field: str, message: str, code: str = "invalid_query") -> QueryInvalid:
    """A fault of one field; its path is named in the message too, for those who see nothing else."""
    return QueryInvalid(code, f"{field}: {message}" if field else message, field or None)
