"""The dialect SDK, and the dialects that come with Headgate."""
