"""One self-contained page, and its figures as files, from saved runs alone: no network is run."""
