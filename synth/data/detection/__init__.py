"""Sources with objects and masks: COCO, Pascal VOC, YOLO, and folders of images with masks."""
