"""The machine on which a run takes place: its addresses, ports, processes and files."""
