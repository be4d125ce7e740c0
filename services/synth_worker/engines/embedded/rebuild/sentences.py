"""Sentences of the synthetic training voices, in Kokoro's phonemes, so that the tuner does not change with the g2p.

Sentences of eight languages, written for this purpose.
"""

from typing import Final

SENTENCES: Final = (
    "ðɪ ˈOld hˈɑːɹbəɹ wʌz kwˈIət ðæt mˈɔːɹnɪŋ, ænd nˈObɑːdi nˈOɾɪst ðə smˈɔːl bˈOt.",
    "ʃiː pˌʊt ðə kˈɛɾᵊl ˈɔn, ˈOpənd ðə wˈɪndO, ænd lˈɪsənd tə ðə ɹˈAn.",
    "mˈOst əv ðə vˈɪzɪɾəɹz kˈAm bI tɹˈAn, ɔːlðˈO ðə ɹˈOd hədbɪn ɹᵻpˈɛɹd.",
    "ə ɡˈʊd kwˈɛsʧən ɪz ˈɔfən wˈɜːθ mˈɔːɹ ðˌænə kwˈɪk ˈænsəɹ.",
    "ðA mˈɛʒəɹd ðə bɹˈɪʤ twˈIs bᵻfˌɔːɹ ˈɛnɪwˌʌn wʌz əlˈWd tə kɹˈɔs ɪt.",
    "wˌɛn ðə mjˈuːzɪk stˈɑːpt, ðə ʧˈɪldɹən ɹˈæn WtsˈId tə lˈʊk æt ðə hˈɔːɹsᵻz.",
    "mI bɹˈʌðəɹ wˈɜːks æt ðə bˈAkəɹɹi, wˌɛɹ ðə dˈA bɪɡˈɪnz æt fˈɔːɹ əklˈɑːk.",
    "ɪɾ ɪz ʧˈiːpəɹ tə mˈɛnd ə ɹˈuːf ɪn sˈʌməɹ ðən tə dɹˈI ə hˈWs ɪn wˈɪntəɹ.",
    "ðə ʤˈʌʤ ɹˈiːd ðə lˈɛɾəɹɹ əlˈWd, fˈOldᵻd ɪt, ænd ɡˈAv ɪt bˈæk.",
    "plˈiːz lˈiːv jʊɹ ʃˈuːz bI ðə dˈɔːɹ ænd fˈɑːlO mˌiː θɹuː ðə ɡˈɑːɹdən.",
    "aʝˈeɾ poɾ la tˈaɾðe kˌaminˈamos ˌasta el meɾkˈaðo i kompɾˈamos naɾˈaŋxas.",
    "el tɾˈen ʎeɣˈo kon retɾˈaso, pˌeɾo nˈaðje pˌaɾeθˈia tenˈeɾ pɾˈisa.",
    "mi aβwˈela ɣwaɾðˈaβa las kˈaɾtas en ˈuna kˈaxa ðe maðˈeɾa βˈeɾðe.",
    "lə vjˈø ʒaʁdinjˈe aʁozˈɛ le flˈœʁz avˌɑ̃ lə ləvˈe dy solˈɛj.",
    "nuz avˈɔ̃ pʁˈi lə ʃəmˈɛ̃ də la ʁivjˈɛʁ paʁskˌə lə pˈɔ̃t etˈɛ fɛʁmˈe.",
    "sɛt anˈe, la nˈɛʒ ɛ tɔ̃bˈe ply tˈoː kə dabitˈyd.",
    "il ɡˈatːo dormˈiva sˌʊlla finˈɛstra mˌentre fʊˈorɪ passˈava la bˈanda.",
    "domˈanɪ matːˈina porterˈɛmo il pˈane frˈesko ˌalla siɲˈora del tˈɛrʦo pjˈano.",
    "a ʃˈuvæ paɾˈow ʤy xˌepˈAŋʧj i az xˈuæs fˌikˈaɾɐ̃ʊ̃ ʃˈAæz ʤy ʒˈAŋʧy.",
    "ʊ prˌofesˈoɾ ˌesplikˈow a lisˈɐ̃ʊ̃ ˈowtræ vˈes, koŋ mwˈiŋtæ pˌasjˈAŋsjæ.",
    "am ˈɑːbənt zˈɑːsən viːɾ lˈaŋə Wf dɛɾ bˈaŋk ʊnt ʃpɾˈɑːxən ˌyːbɜ diː rˈIzə.",
    "dɛɾ ʃlˈsəl lˈɑːk ˌʊntɜ deːm ʃtˈIn, ɡənˈW viː ɛɾ ɛs ɡəzˈɑːkt hˌatə.",
    "vɛʧˈɔrɛm pˈɔʃliɕmˌɨ nad ʒˈɛkɛ, ʒˈɛbɨ zɔbˈaʧɨtɕ ɕfˈatwa mˈasta.",
    "ˈutrʌm nɑt pˈoim stʌˈja tumˈɑn, ɪ dʌrˈoɡa kazˈɑʌs biskʌnˈeʧnʌj.",
)
