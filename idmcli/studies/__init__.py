"""Studies: variants of a configuration, trained and evaluated alike, and their results in one table."""

from idmcli.studies.study import Study, Variant, list_studies, read_study

__all__ = ["Study", "Variant", "list_studies", "read_study"]
