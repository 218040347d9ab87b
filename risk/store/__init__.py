"""What officers and the service write: accounts, decisions, visits, the audit trail. SQLite, or PostgreSQL by one
setting. Every topic describes its tables in ``risk/store/tables_<topic>.py``, imported here.
"""

from risk.store import tables_accounts as tables_accounts
from risk.store import tables_audit as tables_audit
from risk.store import tables_decisions as tables_decisions
from risk.store import tables_options as tables_options
from risk.store import tables_visits as tables_visits
from risk.store.base import METADATA, Moment
from risk.store.database import Database, StoreAwayError

__all__ = ["METADATA", "Database", "Moment", "StoreAwayError"]
