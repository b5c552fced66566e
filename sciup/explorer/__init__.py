"""The latent explorer: which images do the data permit."""
