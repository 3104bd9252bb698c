"""The service on Ray: its deployments, and enrolment of many photos at once."""
