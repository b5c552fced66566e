"""What instruments do to a scene, and what is believed about one."""
