"""The search for secrets in what the tests log, in this process and in the processes they start."""

import logging
import re

# Tokens, API keys, the provider's keys, and payment methods.
FORMATS = re.compile(
    r"eyJ[\w-]+\.[\w-]+|\bice_[0-9a-f]+_\w+|\b[sr]k_(?:test|live)_\w+|\bwhsec_\w+|\bpm_\w+"
)
# The address of the application in this process.
CLIENT_OF_TESTS = "http://test/"
# These are not texts of a record.
FIELDS_OF_OTHERS = frozenset({"msg", "args", "exc_info", "exc_text", "stack_info"})


class SecretFinder(logging.Handler):
    """Finds secrets in all records, before anything hides them.

    Args:
        secrets: texts that no record may contain, besides those in the `FORMATS`.
    """

    def __init__(self, *secrets: str) -> None:
        super().__init__()
        self._secrets, self._found = secrets, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "httpx" and CLIENT_OF_TESTS in record.getMessage():
            # The test itself sent the secret.
            return
        extra = {k: v for k, v in vars(record).items() if k not in FIELDS_OF_OTHERS}
        text = f"{logging.Formatter().format(record)} {extra}"
        if FORMATS.search(text) or any(secret in text for secret in self._secrets):
            self._found.append(text)

    def forget(self) -> list[str]:
        """Return the records with secrets that were found since the last call."""
        found, self._found = self._found, []
        return found
