"""What ``benchmarks/serving.py`` needs: servers, clients and what is measured with them."""
