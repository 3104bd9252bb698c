"""What training draws afresh onto prepared faces: masks, things before a face, mixed faces."""
