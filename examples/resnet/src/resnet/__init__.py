"""Which of three shapes is in an image?"""
