"""What ingestion says about itself: a record of every batch, and what follows from the records."""

from phash_dagster.ingest.records import IngestRecords
from phash_dagster.ingest.schema import Anomaly, Gap, IngestRecord, PartFile, record_of

__all__ = ["Anomaly", "Gap", "IngestRecord", "IngestRecords", "PartFile", "record_of"]
