"""Networks compiled by OpenVINO for the CPU, as an accelerator for hpazoo."""
