"""One image, many methods: pictures at one stretch, and numbers."""
