"""Which language a visitor reads: the one of the link, else the browser's, else Chinese."""

from collections.abc import Mapping

from page.texts import CHINESE, ENGLISH, Texts

LANGUAGES: Mapping[str, Texts] = {"zh": CHINESE, "en": ENGLISH}
DEFAULT = "zh"


def choose(asked: str, accepted: str) -> str:
    """ "zh" or "en": what the link asks for, else the best of Accept-Language (RFC 9110, 12.5.4)."""
    if asked in LANGUAGES:
        return asked
    wishes = sorted((_wish(part) for part in accepted.split(",")), key=lambda wish: -wish[1])
    for language, weight in wishes:
        if weight > 0 and language in LANGUAGES:
            return language
    return DEFAULT


def _wish(part: str) -> tuple[str, float]:
    name, _, parameter = part.strip().partition(";")
    try:
        weight = float(parameter.strip().removeprefix("q=") or 1)
    except ValueError:
        weight = 0.0
    return name.strip().lower()[:2], weight
