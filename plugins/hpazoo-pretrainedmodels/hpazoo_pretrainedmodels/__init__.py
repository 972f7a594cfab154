"""The networks of pretrainedmodels as a backbone for hpazoo."""
