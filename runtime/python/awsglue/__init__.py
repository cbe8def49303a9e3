"""The library of AWS Glue's ETL scripts: GlueContext, DynamicFrame, transforms, jobs with bookmarks.

Written from AWS's public documentation alone, over PySpark. What is missing raises NotImplementedError naming it;
docs/GLUE_LIBRARY.md has the table.
"""
