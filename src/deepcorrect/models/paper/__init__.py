"""The paper's two networks, and the conversion of AlexNet's published weights."""
