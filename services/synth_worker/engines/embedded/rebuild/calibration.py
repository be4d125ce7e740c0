"""Pitch of the stock voices in each language, so that a clone's pitch can be set without synthesizing first."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from services.synth_worker.engines.embedded.g2p import VOCABULARY, Phonemizer
from services.synth_worker.engines.embedded.rendering.kokoro import Kokoro
from services.synth_worker.engines.embedded.rendering.prosody import voiced_pitch
from services.synth_worker.engines.embedded.rendering.tokens import token_parts
from services.synth_worker.engines.embedded.voices.styles import STOCK_VOICES, StockStyles

SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "en": (
        "The garden is behind the old house.",
        "We will meet again tomorrow, shortly after nine.",
    ),
    "fr": (
        "Le jardin se trouve derrière la vieille maison.",
        "Nous nous reverrons demain, un peu après neuf heures.",
    ),
    "es": (
        "El jardín está detrás de la casa vieja.",
        "Nos veremos mañana, poco después de las nueve.",
    ),
    "de": (
        "Der Garten liegt hinter dem alten Haus.",
        "Wir sehen uns morgen wieder, kurz nach neun.",
    ),
    "it": ("Il giardino è dietro la vecchia casa.", "Ci rivedremo domani, poco dopo le nove."),
    "pt": ("O jardim fica atrás da casa velha.", "Vamos nos ver amanhã, pouco depois das nove."),
    "pl": ("Ogród jest za starym domem.", "Spotkamy się jutro, krótko po dziewiątej."),
    "tr": ("Bahçe eski evin arkasında.", "Yarın dokuzdan biraz sonra yine görüşürüz."),
    "ru": ("Сад находится за старым домом.", "Мы встретимся завтра, сразу после девяти."),
    "nl": ("De tuin ligt achter het oude huis.", "We zien elkaar morgen weer, kort na negen uur."),
    "cs": ("Zahrada je za starým domem.", "Uvidíme se zase zítra, krátce po deváté."),
    "ar": ("الحديقة خلف البيت القديم.", "سنلتقي غدا بعد الساعة التاسعة بقليل."),
    "zh": ("花园在老房子的后面。", "我们明天九点以后再见面。"),
    "hu": ("A kert a régi ház mögött van.", "Holnap találkozunk, röviddel kilenc után."),
    "ko": ("정원은 오래된 집 뒤에 있습니다.", "내일 아홉 시가 조금 지나서 다시 만나요."),
    "ja": ("庭は古い家の裏にあります。", "明日の九時過ぎにまた会いましょう。"),
    "hi": ("बगीचा पुराने घर के पीछे है।", "हम कल नौ बजे के बाद फिर मिलेंगे।"),
}


def stock_pitch(
    kokoro: Kokoro, phonemizer: Phonemizer, styles: StockStyles
) -> dict[str, dict[str, float]]:
    """Language -> stock voice -> median pitch in Hz over two short sentences and a long one, both of them joined.

    Some stock voices speak short sentences up to 8 % higher than long ones.
    """
    table: dict[str, dict[str, float]] = {}
    for language, names in STOCK_VOICES.items():
        short = SENTENCES[language]
        long = f"{short[0].rstrip('.।。')}, {short[1]}"
        texts = [phonemizer.phonemes(text, language) for text in (*short, long)]
        tokens = [part for text in texts for part in token_parts(text, VOCABULARY)]
        table[language] = {
            name: _median_hz(kokoro, styles, name, tokens) for name in sorted(set(names))
        }
    return table


def _median_hz(kokoro: Kokoro, styles: StockStyles, name: str, texts: list[list[int]]) -> float:
    voiced = [
        voiced_pitch(kokoro.prosody(tokens, styles.style(name, len(tokens)))) for tokens in texts
    ]
    return round(float(np.median(np.concatenate(voiced))), 1)
