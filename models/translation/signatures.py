"""How the built model is called: the names of its signatures, of their input and their outputs."""

GREEDY, INPUT, TRANSLATION = "serving_default", "text", "translation"
BEAM, TRANSLATIONS, SCORES = "beam", "translations", "scores"
