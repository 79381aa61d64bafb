"""What the figures show, as plain data: pure functions of finished trials. Nothing draws here."""
