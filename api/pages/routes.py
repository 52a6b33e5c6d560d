"""The modules of all public pages and their resources."""

from api.pages import assets, badges, calendar, embed, feeds, incidents, service, session, status, well_known

PAGES = (status, calendar, service, incidents, session, badges, embed, feeds, well_known, assets)
