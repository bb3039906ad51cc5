"""`edge-bench`: what the station costs on this computer, stage by stage, alone and beside its peers."""
