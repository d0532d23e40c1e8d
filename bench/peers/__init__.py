"""What a competent team would write instead of Headgate, and servers that do nothing, to compare with."""
