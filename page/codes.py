"""What people type for a code and a credit code, as the services take it. Pure."""

import re
from unicodedata import normalize
from urllib.parse import parse_qs, urlsplit

MOST_CHARACTERS = 60
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


def code(text: str) -> tuple[str, str]:
    """Id and signature of what was typed or pasted, be it the whole link of a QR; empty if there are none."""
    signature, text = "", normalize("NFKC", text)
    if "/c/" in text:
        try:
            link = urlsplit(text.strip())
        except ValueError:
            return "", ""
        signature = parse_qs(link.query).get("s", [""])[0]
        text = link.path.rpartition("/c/")[2]
    return re.sub(r"[^0-9A-Z]", "", text.upper())[:MOST_CHARACTERS], signature


def grouped(text: str) -> str:
    """A code as people read it out: five characters at a time."""
    return " ".join(text[at : at + 5] for at in range(0, len(text), 5))


def credit_code(text: str) -> str:
    """The unified social credit code that was typed. ValueError if it cannot be one (GB 32100): whoever
    mistypes its own must not be told that the code is meant for somebody else.
    """
    typed = re.sub(r"[\s-]", "", normalize("NFKC", text).upper())
    if len(typed) != 18 or any(each not in ALPHABET for each in typed):
        raise ValueError("not 18 characters of a credit code")
    values = [ALPHABET.index(each) for each in typed]
    total = sum(value * weight for value, weight in zip(values[:17], WEIGHTS, strict=True))
    if (31 - total % 31) % 31 != values[17]:
        raise ValueError("the check character is wrong")
    return typed
