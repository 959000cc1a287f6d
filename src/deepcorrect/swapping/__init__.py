"""A network run on distorted images as if some filters had seen the clean ones: on a captured graph, or by hooks."""
