"""Types of exceptions of a module beside the scripts."""


class ServiceError(Exception):
    """Has arguments of its own, which pickle does not know of."""

    def __init__(self, code, *, retry_after=None):
        super().__init__(f'the service said {code}')
        self.code, self.retry_after = code, retry_after

    def __reduce__(self):
        return _made_again, (self.code, self.retry_after)


def _made_again(code, retry_after):
    return ServiceError(code, retry_after=retry_after)


class NotFound(LookupError):
    """Has a text of its own."""

    def __init__(self, key, place):
        super().__init__(key, place)
        self.key, self.place = key, place

    def __str__(self):
        return f'{self.key} is not in {self.place}'
