"""Where picks go: to a terminal or a file at once (`lines`), and over links to peers, one file each."""
