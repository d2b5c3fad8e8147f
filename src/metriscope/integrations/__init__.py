"""A monitor and metrics inside other libraries; each file imports its library when it is imported.

``lightning``, ``transformers``, ``sentence_transformers``: callbacks. ``torchmetrics``: metrics.
``tensorboard``, ``mlflow``, ``wandb``: writers.
"""
