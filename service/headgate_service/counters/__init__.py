"""What Redis counts, kept in SQL too: copied there all the time, and put back where Redis was emptied."""
