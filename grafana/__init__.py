"""Grafana on the schema `analytics`: provisioning, dashboards, and the program that writes the dashboards."""
