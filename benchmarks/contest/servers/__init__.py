"""The other servers, each as its documentation advises, with the model in both forms."""
