"""The modules of the translation model's builder, which import one another from here."""
